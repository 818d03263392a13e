"""Are causal tokens where the body is, and do predictions hang on them?"""
