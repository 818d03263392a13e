from __future__ import annotations

import functools
import http.server
import os
import threading

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpose.registry import MODELS

from cmpose_mm import config_path
from cmpose_mm.apis import VideoPoseInferencer
from cmpose_mm.apis.loading import (
    find_checkpoint,
    find_config,
    load_pose_model,
    published_weights,
    read_checkpoint,
)
from cmpose_mm.weights import shipped_model

RESNET = 'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res50_8xb64-210e_coco-256x192.py'


@pytest.fixture
def server(tmp_path):
    """Serves a folder; gives its URL and the folder."""
    folder = tmp_path / 'served'
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{server.server_port}', folder
        server.shutdown()


def test_configs_by_path_package_and_name(tmp_path):
    own = tmp_path / 'own.py'
    own.write_text('a = 1')
    assert find_config(own) == str(own)
    assert find_config('cmpose_demo.py') == config_path('cmpose_demo.py')
    assert os.path.isfile(find_config(RESNET))
    with pytest.raises(FileNotFoundError, match=r'no such config file.*cmpose_vit_posetrack18.py'):
        find_config('cmpose_vit_posetrack.py')
    with pytest.raises(FileNotFoundError, match='config not found, expected it at .*mmpose.*no.py'):
        find_config('mmpose::body_2d_keypoint/no.py')
    with pytest.raises(FileNotFoundError, match='package nowhere is not installed'):
        find_config('nowhere::a.py')


def test_the_message_names_the_published_weights():
    config = find_config(RESNET)
    url = published_weights(config)
    assert url.startswith('https://download.openmmlab.com/mmpose/') and 'td-hm_res50' in url
    with pytest.raises(FileNotFoundError) as error:
        find_checkpoint('missing.pth', config)
    name = url.rsplit('/', 1)[-1]
    assert str(error.value) == (
        f'missing.pth: checkpoint not found; download {url} and put it at checkpoints/{name}'
    )


def test_weights_that_ship_are_found_by_their_config():
    for name in ('small', 'small_rendered'):
        config, weights = shipped_model(name)
        assert find_checkpoint(None, config) == weights
    with pytest.raises(FileNotFoundError, match='none is published for this config'):
        find_checkpoint(None, config_path('shipped/shipped_frames.py'))


def test_no_checkpoint():
    with pytest.raises(FileNotFoundError, match=r'no checkpoint given .*mim train mmpose'):
        VideoPoseInferencer('cmpose_vit_posetrack18.py')


def test_nothing_is_downloaded_unasked(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    url, folder = server
    torch.save(dict(state_dict=dict(weight=torch.ones(2))), folder / 'model.pth')
    requests = []
    original = http.server.SimpleHTTPRequestHandler.do_GET
    monkeypatch.setattr(
        http.server.SimpleHTTPRequestHandler,
        'do_GET',
        lambda self: requests.append(self.path) or original(self),
    )
    with pytest.raises(
        FileNotFoundError, match=r'nothing is downloaded without being asked for.*checkpoints/model'
    ):
        find_checkpoint(f'{url}/model.pth', 'config.py')
    assert requests == []
    for _ in range(2):  # the second time it is there
        path = find_checkpoint(f'{url}/model.pth', 'config.py', download=True)
    assert path == os.path.join('checkpoints', 'model.pth') and requests == ['/model.pth']
    assert find_checkpoint(f'{url}/model.pth', 'config.py') == path
    assert read_checkpoint(path)['state_dict']['weight'].tolist() == [1, 1]


def test_download_fails(server, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OSError, match=r'download failed .*404.*put it at checkpoints/no.pth'):
        find_checkpoint(f'{server[0]}/no.pth', 'config.py', download=True)
    assert os.listdir('checkpoints') == []


def test_loads_all_weights(tiny_model):
    config, checkpoint = tiny_model()
    model = load_pose_model(config, checkpoint)
    weights = torch.load(checkpoint)['state_dict']
    assert not model.training
    assert set(weights) == set(model.state_dict())
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_the_config_that_is_given_stays_as_it_is(tiny_model):
    """Who trains from it afterwards would begin without its pretrained backbone."""
    path, checkpoint = tiny_model()
    config = Config.fromfile(path)
    config.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='torchvision://resnet18')
    config.model.train_cfg = dict(compute_acc=False)
    before = config.pretty_text
    load_pose_model(config, checkpoint)
    assert config.pretty_text == before


def test_weights_without_a_place_are_told(tiny_model, logged):
    config, checkpoint = tiny_model()
    content = torch.load(checkpoint)
    content['state_dict']['extra.weight'] = torch.zeros(1)
    torch.save(content, checkpoint)
    load_pose_model(config, checkpoint)
    assert logged() == [
        '1 weights of the checkpoint have no place in the model (first extra.weight)'
    ]


def test_the_advice_is_true_for_the_config():
    """The file that the config's own training ends with."""
    for config, file in (
        ('cmpose_demo.py', 'work_dirs/cmpose_demo/iter_50.pth'),
        ('cmpose_vit_posetrack18.py', 'work_dirs/cmpose_vit_posetrack18/epoch_20.pth'),
    ):
        with pytest.raises(
            FileNotFoundError, match=rf'training wrote, {file} \(`mim train mmpose '
        ):
            find_checkpoint('missing.pth', find_config(config))


def test_published_weights_are_taken_unasked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = find_config(RESNET)
    name = published_weights(config).rsplit('/', 1)[-1]
    with pytest.raises(
        FileNotFoundError, match=rf'nothing is downloaded without being asked for; .*{name}'
    ):
        find_checkpoint(None, config)
    (tmp_path / 'checkpoints').mkdir()
    (tmp_path / 'checkpoints' / name).touch()
    assert find_checkpoint(None, config) == os.path.join('checkpoints', name)


@pytest.mark.parametrize(
    'text, found',
    [
        ('\n<!DOCTYPE html>\n<html>not found</html>', '<!DOCTYPE html>'),
        ('<?xml version="1.0"?><Error/>', '<?xml version="1.0"?><Error/>'),
    ],
)
def test_a_page_saved_as_a_checkpoint(tiny_model, text, found):
    config, checkpoint = tiny_model()
    with open(checkpoint, 'w') as file:
        file.write(text)
    with pytest.raises(ValueError) as error:
        load_pose_model(config, checkpoint)
    assert str(error.value) == (
        f'{checkpoint}: is a web page (it begins with {found!r}), expected a checkpoint; the '
        'download went wrong, fetch the file itself'
    )


def test_the_joints_are_those_that_the_model_was_trained_on(tiny_model, logged):
    """A checkpoint of other joints, as many as the config has, fits by count."""
    config, checkpoint = tiny_model()
    meta = load_pose_model(config, checkpoint).dataset_meta
    names = {index: f'joint {index}' for index in range(15)}
    content = torch.load(checkpoint)
    content['meta'] = dict(dataset_meta=dict(meta, keypoint_id2name=names))
    torch.save(content, checkpoint)
    assert load_pose_model(config, checkpoint).dataset_meta['keypoint_id2name'] == names
    (told,) = logged()
    assert 'was trained on the joints joint 0, joint 1' in told
    assert 'has nose, head_bottom' in told and told.endswith('those of the checkpoint are used')
    assert VideoPoseInferencer(config, checkpoint).joints.joints == tuple(names.values())


def test_nobody_names_the_joints(tiny_model):
    """MMPose takes those of COCO then."""
    config, checkpoint = tiny_model('\ntrain_dataloader = None\n')
    with pytest.raises(ValueError, match='neither its meta.dataset_meta nor .* names the joints'):
        load_pose_model(config, checkpoint)


def test_a_config_without_a_model(tmp_path):
    (tmp_path / 'own.py').write_text('a = 1')
    with pytest.raises(ValueError, match='own.py: has no model and no test_dataloader, expected'):
        load_pose_model(tmp_path / 'own.py', None)


@pytest.mark.parametrize(
    'change, said',
    [
        ('a = (', r'tiny\.py: can not be read as a config \(SyntaxError: '),
        ('1 / 0', r'tiny\.py: can not be read as a config \(ZeroDivisionError: '),
        ('model = dict(_delete_=True)', r'tiny\.py: has no model, expected both'),
        ('model = dict(_delete_=True, a=1)', r'tiny\.py: "model.type" is None, expected a model'),
        ("model = 'x'", r'tiny\.py: "model.type" is None, expected a model'),
        ("model['type'] = 'Nothing'", r'tiny\.py: "model.type" is \'Nothing\', expected a model'),
        (
            "model['method']['zzz'] = 1",
            r"tiny\.py: the model can not be built: .*unexpected keyword argument 'zzz'",
        ),
        ("model['method']['type'] = 'Zzz'", r'tiny\.py: the model can not be built: .*Zzz'),
    ],
)
def test_a_config_that_is_wrong(tiny_model, change, said):
    config, checkpoint = tiny_model()
    with open(config, 'a') as file:
        file.write(f'\n{change}\n')
    with pytest.raises(ValueError, match=said):
        load_pose_model(config, checkpoint)


@pytest.mark.parametrize('text', ['https://x.org/y.pth', 'hello world', '.', 'K', '0', ''])
def test_a_text_saved_as_a_checkpoint(tiny_model, text):
    config, checkpoint = tiny_model()
    with open(checkpoint, 'w') as file:
        file.write(text)
    with pytest.raises(ValueError, match=r'^[^\n]*\.pth: can not be read as a checkpoint; it is '):
        load_pose_model(config, checkpoint)


@pytest.mark.parametrize(
    'index', ['Models: [a/b.yml]', 'Models:\n- Config:', 'Models: 3', '- 1', 'Models:\n- 1']
)
def test_any_yaml_may_lie_beside_a_config(tmp_path, index):
    (tmp_path / 'other.yml').write_text(index)
    (tmp_path / 'own.py').write_text('a = 1')
    assert published_weights(str(tmp_path / 'own.py')) is None


def test_a_field_that_the_config_does_not_have(tiny_model):
    message = (
        "^cfg-options: tiny.py has no 'model.test_cfg.flip'; did you mean 'model.test_cfg.flip_"
    )
    with pytest.raises(ValueError, match=message):
        load_pose_model(*tiny_model(), cfg_options={'model.test_cfg.flip': False})


@pytest.mark.parametrize('damage', ['missing', 'shape', 'text', 'list', 'code'])
def test_checkpoints_that_do_not_fit(tiny_model, damage, tmp_path):
    if damage == 'code' and tuple(map(int, torch.__version__.split('.')[:2])) < (2, 6):
        pytest.skip('torch loads safely from 2.6 on')
    config, checkpoint = tiny_model()
    content = torch.load(checkpoint)
    state = content['state_dict']
    if damage == 'missing':
        names = [name for name in state if name.startswith('method')]
        for name in names:
            del state[name]
        message = f'does not fit .*{len(names)} of the model.s weights are not in it .first method'
    elif damage == 'shape':
        state['head.final_layer.bias'] = torch.zeros(17)
        message = (
            r'^[^\n]*\.pth does not fit [^\n]*tiny\.py: 1 weights have another shape \(first '
            r'head\.final_layer\.bias, \[17\] in the file and \[15\] in the model\); expected a '
            r'checkpoint of this model$'
        )
    elif damage == 'list':
        content, message = [1], 'expected a checkpoint with "state_dict", found list'
    else:
        message = r'^[^\n]*\.pth: can not be read as a checkpoint; it is damaged, or [^\n]*$'
    torch.save(content, checkpoint)
    if damage == 'text':
        with open(checkpoint, 'w') as file:
            file.write('not found')
    if damage == 'code':
        torch.save(dict(state_dict=state, meta=_Code(tmp_path / 'ran')), checkpoint)
    with pytest.raises(ValueError, match=message):
        load_pose_model(config, checkpoint)
    assert not (tmp_path / 'ran').exists()


def test_a_vit_of_another_input_size(tmp_path):
    """Its own check of the position embedding is an assertion."""
    config = Config.fromfile(config_path('cmpose_vit-s_posetrack18.py'))
    config.model.backbone.pop('init_cfg', None)
    config.model.backbone.arch.num_layers = 1
    config.dump(tmp_path / 'a.py')
    config.model.backbone.img_size = (384, 288)
    with DefaultScope.overwrite_default_scope('mmpose'):
        state = MODELS.build(config.model).state_dict()
    torch.save(dict(state_dict=state), tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='does not fit .*length of `pos_embed` .432. doesn.t'):
        load_pose_model(str(tmp_path / 'a.py'), str(tmp_path / 'a.pth'))


@pytest.mark.parametrize('content', [{'state_dict': None}, {'state_dict': {1: 2}}, {1: 2}])
def test_a_checkpoint_without_a_table_of_weights(tiny_model, content):
    config, checkpoint = tiny_model()
    torch.save(content, checkpoint)
    with pytest.raises(ValueError, match='"state_dict" is no table of weights by their names'):
        load_pose_model(config, checkpoint)


class _Code:
    """Runs something when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize('device', ['cuda:99', 'gpu'])
def test_a_device_that_is_not_there(tiny_model, device):
    message = f"^device '{device}' can not be used: [^\n]+$"
    with pytest.raises(ValueError, match=message):
        load_pose_model(*tiny_model(), device)
    with pytest.raises(ValueError, match=message):
        VideoPoseInferencer(*tiny_model(), device=device)


@pytest.mark.parametrize('trained, config', [('', 'readings_'), ('readings_', '')])
def test_weights_of_another_reading_of_cmpose_are_refused(trained, config, tmp_path):
    """In one sentence with the file and both readings, whatever keys fit."""
    path = tmp_path / 'epoch_1.pth'
    models = {name: config_path(f'cmpose/cmpose_{name}tiny.py') for name in ('', 'readings_')}
    with DefaultScope.overwrite_default_scope('mmpose'):
        model = MODELS.build(Config.fromfile(models[trained]).model)
    torch.save(dict(state_dict=model.state_dict()), path)
    load_pose_model(models[trained], path)
    with pytest.raises(ValueError, match="the paper's literal reading") as error:
        load_pose_model(models[config], path)
    text = str(error.value)
    assert text.startswith(f'{path} does not fit {models[config]}: the weights are of a CM-Pose')
    assert 'neck.position=sine_cosine, neck.temporal=neighborhood, ' in text and '\n' not in text
