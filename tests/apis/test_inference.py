"""One file is all that a user needs: build, verify, predict."""

import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from trained import edited, rig_sample, same, train_tiny, write_parser

import mapllava
from mapllava.apis.demo_files import model_file, sample_folder
from mapllava.errors import MapLLaVAError
from mapllava.testing import write_tiny_llama
from tests.documents.blocks import ROOT, blocks


def test_predictions_are_those_of_the_model_in_training(trained, predictor, sample):
    dataset = trained.runner.val_dataloader.dataset
    with torch.inference_mode():
        (expected,) = trained.runner.model.test_step(trained.runner.val_dataloader.collate_fn([dataset[0]]))
    lines = predictor.predict(sample["img_paths"], sample["cam2img"], sample["lidar2cam"])
    pred = expected.pred_instances
    assert np.array_equal(np.stack(lines.points), pred.points.double().numpy())
    assert np.array_equal(lines.scores, pred.scores.numpy())
    assert np.array_equal(lines.labels, pred.labels.numpy())
    assert not predictor.model.training
    assert not any(module.training for module in predictor.model.modules())


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_the_code_of_its_page_predicts(trained, predictor, sample, language, capsys):
    first, rigs, moved = (block.text for block in blocks(ROOT / f"docs/{language}/inference.md", "python"))
    names = {"images": sample["img_paths"], "path": str(trained.best), "mapllava": mapllava}
    names |= {key: sample[key] for key in ("cam2img", "lidar2cam")}
    exec(first.replace("outputs/RUN/best_model.pth", str(trained.best)), names)
    same(names["lines"], predictor.predict(sample["img_paths"], sample["cam2img"], sample["lidar2cam"]))
    assert len(capsys.readouterr().out.strip().splitlines()) >= len(names["lines"].points)
    own = rig_sample(sample)
    exec(rigs.replace("my_car", str(sample_folder())), names | {"rig": own.rig, "images": own.images})
    found, display = capsys.readouterr().out.splitlines()
    assert found.split()[0] == "sample"
    assert display == str(predictor.meta.get("display"))
    exec(moved.replace("/weights/vicuna-7b-v1.5", str(trained.vicuna))
         .replace("/weights/blip2-opt-2.7b", str(trained.blip2)), names)  # fmt: skip


def test_arrays_predict_like_files_and_a_projection_like_its_factors(predictor, sample, tmp_path):
    images = [cv2.imread(path) for path in sample["img_paths"]]
    given = [image.copy() for image in images]
    stored = [tmp_path / f"{index}.png" for index in range(6)]  # a JPEG would be decoded at half its size
    for path, image in zip(stored, images, strict=True):
        cv2.imwrite(str(path), image)
    lines = predictor.predict(stored, sample["cam2img"], sample["lidar2cam"])
    same(predictor.predict(images, sample["cam2img"], sample["lidar2cam"]), lines)
    assert all(np.array_equal(image, before) for image, before in zip(images, given, strict=True))
    lidar2img = sample["lidar2cam"].copy()
    lidar2img[:, :3] = sample["cam2img"] @ lidar2img[:, :3]
    together = predictor.predict(images, lidar2img=lidar2img)
    assert np.allclose(together.scores, lines.scores, atol=1e-5)
    assert len(lines.points) == len(lines.scores) == 50
    assert predictor.cameras == sample["cam_names"]
    turned = predictor.predict(images, sample["cam2img"], np.roll(sample["lidar2cam"], 1, axis=0))
    assert not np.array_equal(turned.scores, lines.scores)  # the matrices reach the model


def test_the_file_describes_itself(trained, predictor):
    saved = torch.load(trained.best, weights_only=True)
    assert set(saved) == {"meta", "state_dict", "message_hub"}
    assert not any(key.startswith(("decoder.backbone.", "vision_encoder.")) for key in saved["state_dict"])
    meta = predictor.meta
    assert meta["format_version"] == 3
    assert meta["mapllava_version"] == mapllava.__version__
    assert set(meta["base_weights"]) == {"vision_encoder", "neck.qformer", "decoder"}
    decoder = meta["base_weights"]["decoder"]
    assert (decoder["id"], decoder["dtype"], decoder["quantization"]) == (
        str(trained.vicuna),
        "bfloat16",
        None,
    )
    assert len(decoder["hash"]) == 64
    assert meta["prompt"]["text"].startswith("Draw the map")
    assert meta["prompt"]["ids"][0] == 1
    assert meta["prompt"]["tokenizer"]["type"] == "HFTokenizer"
    assert meta["prompt"]["tokenizer"]["vocab_size"] == 320
    assert meta["architectures"]["neck.qformer"]["hidden_size"] == 24
    assert meta["full_config"]["model"]["decoder"]["type"] == "LLMMapDecoder"
    assert meta["map_spec"]["frame"] == "lidar"
    assert meta["best"]["metric"] == "mAP"
    assert meta["best"]["split"] == "v1.0-mini val"
    assert set(meta["display"]["thresholds"]) == set(meta["map_spec"]["classes"])
    assert meta["display"]["source"].startswith("best F1 at 1 m on val of v1.0-mini")


def test_an_epochs_checkpoint_and_the_final_model_load_too(trained, predictor):
    for name in ("checkpoint_epoch_1.pth", "final_model.pth"):
        model = mapllava.load_model(trained.best.with_name(name), device="cpu").model
        for mine, theirs in zip(model.parameters(), predictor.model.parameters(), strict=True):
            assert torch.equal(mine, theirs)


def test_bases_and_tokenizer_may_move(trained, predictor, sample, tmp_path):
    blip2, vicuna = tmp_path / "b", tmp_path / "v"
    shutil.copytree(trained.blip2, blip2)
    vicuna.mkdir()
    for name in ("config.json", "model.safetensors"):  # no tokenizer
        shutil.copy(trained.vicuna / name, vicuna)
    aside = trained.vicuna.with_name("aside")
    os.rename(trained.vicuna, aside)
    try:
        with pytest.raises(
            MapLLaVAError, match=r"(?s)vicuna' is neither a folder.*load_model\(.*'decoder': 'FOLDER'"
        ):
            mapllava.load_model(trained.best, device="cpu")
        moved = {"vision_encoder": blip2, "neck.qformer": blip2, "decoder": vicuna}
        again = mapllava.load_model(trained.best, "cpu", pretrained=moved)
    finally:
        os.rename(aside, trained.vicuna)
    arguments = (sample["img_paths"], sample["cam2img"], sample["lidar2cam"])
    same(again.predict(*arguments), predictor.predict(*arguments))
    with pytest.raises(MapLLaVAError, match="pretrained names llm; its components with base weights: "):
        mapllava.load_model(trained.best, pretrained={"llm": vicuna})


def test_a_base_that_was_changed_is_refused(trained, tmp_path):
    vicuna = tmp_path / "v"
    shutil.copytree(trained.vicuna, vicuna)
    tensors = load_file(vicuna / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"][3, 3] += 1
    save_file(tensors, vicuna / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        MapLLaVAError, match=r"(?s)decoder: trained on '.*vicuna', found '.*v' \(hash .* then, "
    ):
        mapllava.load_model(trained.best, pretrained={"decoder": vicuna})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("dtype", "float32", r"\(dtype float32 then, bfloat16 now\)"),
        ("quantization", {"bits": 4}, r"\(quantization \{'bits': 4\} then, None now\)"),
    ],
)
def test_a_base_in_another_precision_is_refused(trained, tmp_path, field, value, message):
    path = edited(
        trained, tmp_path / "m.pth", lambda c: c["meta"]["base_weights"]["decoder"].update({field: value})
    )
    with pytest.raises(MapLLaVAError, match=message):
        mapllava.load_model(path)


def test_a_part_that_is_wholly_in_the_file_needs_no_certain_base(trained, tmp_path):
    def change(content):
        content["meta"]["base_weights"]["neck.qformer"]["hash"] = "0" * 64

    mapllava.load_model(edited(trained, tmp_path / "m.pth", change), device="cpu")


class Bomb:
    """Leaves a file behind when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_file_with_code_in_it_is_refused_and_does_nothing(trained, tmp_path):
    trace = tmp_path / "trace"
    path = edited(trained, tmp_path / "m.pth", lambda c: c["meta"].update(bomb=Bomb(trace)))
    with pytest.raises(MapLLaVAError, match=r"m\.pth' cannot be read as tensors and plain values"):
        mapllava.load_model(path)
    assert not trace.exists()


@pytest.mark.parametrize("place", ["model", "model.head", "pipeline"])
def test_a_config_that_names_what_is_not_registered_is_refused(trained, tmp_path, place):
    trace = tmp_path / "trace"
    call = {"type": "os.mkdir", "path": str(trace)}

    def change(content):
        config = content["meta"]["full_config"]
        if place == "pipeline":
            config["test_dataloader"]["dataset"]["pipeline"][0] = call
        elif place == "model":
            config["model"] = call
        else:
            config["model"]["head"]["layer"] = call

    path = edited(trained, tmp_path / "m.pth", change)
    with pytest.raises(MapLLaVAError, match=r"type is 'os\.mkdir', which is no registered component"):
        mapllava.load_model(path)
    assert not trace.exists()


def test_another_scope_is_refused(trained, tmp_path):
    path = edited(
        trained,
        tmp_path / "m.pth",
        lambda c: c["meta"]["full_config"]["model"]["head"].update(_scope_="mmdet"),
    )
    with pytest.raises(MapLLaVAError, match=r"model\.head asks for the scope 'mmdet'"):
        mapllava.load_model(path)


def truncated(trained, path):
    path.write_bytes(trained.best.read_bytes()[:-2000])


def foreign(trained, path):
    torch.save({"weight": torch.zeros(2)}, path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda t, p: None, "is not there"),
        (truncated, "cut short"),
        (lambda t, p: p.write_text("hello"), "no file of its kind"),
        (lambda t, p: p.write_bytes(b""), "cannot be read"),
        (foreign, "holds no mapllava model"),
        (
            lambda t, p: edited(t, p, lambda c: c["meta"].update(format_version=1)),
            r"format 1.*mapllava test",
        ),
        (lambda t, p: edited(t, p, lambda c: c["meta"].update(format_version=9)), "format 9, written by"),
        (lambda t, p: edited(t, p, lambda c: c["meta"].pop("prompt")), "lacks a valid prompt"),
        (
            lambda t, p: edited(t, p, lambda c: c["meta"].update(base_weights=[])),
            "lacks a valid base_weights",
        ),
        (
            lambda t, p: edited(t, p, lambda c: c["state_dict"].pop("decoder.project.1.bias")),
            r"1 missing in the file: decoder\.project\.1\.bias",
        ),
        (
            lambda t, p: edited(t, p, lambda c: c["state_dict"].update(ghost=torch.zeros(1))),
            r"not in the model: ghost",
        ),
    ],
)
def test_what_is_no_whole_model_file_is_refused_by_name(trained, tmp_path, make, message):
    make(trained, tmp_path / "m.pth")
    with pytest.raises(MapLLaVAError, match=rf"(?s)m\.pth'.*{message}"):
        mapllava.load_model(tmp_path / "m.pth", device="cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda g: g.pop("lidar2cam"), "lidar2cam is missing: 6 images need"),
        (lambda g: g.update(lidar2img=np.zeros((6, 4, 4))), "cam2img and lidar2cam, or as lidar2img alone"),
        (lambda g: g.update(cam2img=np.eye(3)), r"cam2img is of shape \(3, 3\)"),
        (lambda g: g.update(images=g["images"][:5]), "cam2img is of shape .*: 5 images need"),
        (lambda g: g["images"].__setitem__(0, np.zeros((9, 9, 3), np.uint8)), "give one kind"),
        (
            lambda g: g.update(images=[np.zeros((9, 9), np.uint8)] * 6),
            r"is uint8 \(9, 9\), not uint8 \(H, W, 3\)",
        ),
        (lambda g: g["images"].__setitem__(0, "gone.jpg"), "'gone.jpg'"),
    ],
)
def test_incomplete_input_is_refused(predictor, sample, change, message):
    given = {"images": list(sample["img_paths"])} | {k: sample[k] for k in ("cam2img", "lidar2cam")}
    change(given)
    with pytest.raises((ValueError, MapLLaVAError), match=message):
        predictor.predict(**given)


def test_loading_leaves_the_random_numbers_alone(trained):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    mapllava.load_model(trained.best, device="cpu")
    assert torch.equal(torch.rand(1), expected)


def test_weights_of_the_hub_are_those_of_the_trained_revision(tmp_path):
    from mapllava.apis.inference import place_bases
    from mapllava.checkpoint import ModelFile

    def base(**entries):
        return {"hash": "1", "revision": "c0ffee", **entries}

    bases = {"decoder": base(), "neck.qformer": base(), "vision_encoder": base(revision=None)}
    model = {"decoder": {"pretrained": "a/b"}, "neck": {"qformer": {"pretrained": "a/c@v1"}}}
    model["vision_encoder"] = {"pretrained": "folder"}
    place_bases(ModelFile(tmp_path, {}, {"base_weights": bases}), model, {"vision_encoder": tmp_path})
    assert model["decoder"]["pretrained"] == "a/b@c0ffee"
    assert model["neck"]["qformer"]["pretrained"] == "a/c@v1"
    assert model["vision_encoder"]["pretrained"] == str(tmp_path)


SENTENCES = ["How far is the next crossing?", "前方有几条车道线？"]


@pytest.fixture
def told(monkeypatch):
    """What loading a parser says."""
    lines = []
    monkeypatch.setattr("mapllava.apis.parsing.print_log", lambda line, logger: lines.append(line))
    return lines


def test_a_parser_and_the_map_decoder_share_one_language_model(trained, predictor, sample, tmp_path, told):
    arguments = (sample["img_paths"], sample["cam2img"], sample["lidar2cam"])
    expected = predictor.predict(*arguments)
    folder = shutil.copytree(trained.vicuna, tmp_path / "llama")
    path = write_parser(tmp_path / "parser.pth", folder)
    texts = mapllava.load_parser(path, "cpu").write(SENTENCES)
    asked = mapllava.load_model(trained.best, device="cpu", parser=path)
    assert told == [f"'{path}': its language model is the map decoder's, in memory once"]
    held = {each.data_ptr() for each in asked.model.decoder.backbone.parameters()}
    model = asked.parser.language_model.backbone
    own = [name for name, each in model.named_parameters() if each.data_ptr() not in held]
    assert [name for name in own if ".ask." not in name] == ["lm_head.weight"]
    assert asked.parser.write(SENTENCES) == texts
    same(asked.predict(*arguments), expected)
    shutil.rmtree(folder)  # the map decoder's is the same, and there
    assert mapllava.load_parser(path, beside=asked).write(SENTENCES) == texts


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ("dtype", r"it is '.*' \(\w{12}…, float32\), the map decoder's '.*' \(\w{12}…, bfloat16\)"),
        ("weights", r"it is '.*llama' \(\w{12}…, bfloat16\), the map decoder's '.*vicuna' \("),
        ("trained", "it was trained itself"),
        ("demo", "the map decoder is no frozen pretrained one"),
        ("device", "it is to run on meta, where the map decoder is not"),
    ],
)
def test_a_parser_that_cannot_share_has_its_own_and_says_why(predictor, tmp_path, told, case, why):
    options = {"dtype": {"dtype": "float32"}, "trained": {"frozen": False, "lora": None}}.get(case, {})
    folder = write_tiny_llama(tmp_path / "llama", seed=int(case == "weights"))
    path = write_parser(tmp_path / "parser.pth", folder, **options)
    beside = mapllava.load_model(model_file(), device="cpu") if case == "demo" else predictor
    parser = mapllava.load_parser(path, "meta" if case == "device" else None, beside=beside)
    (line,) = told
    assert re.search(f"its language model is in memory on its own: {why}", line)
    held = {id(each) for each in beside.model.parameters()}
    assert not any(id(each) in held for each in parser.parameters())


@pytest.mark.slow
def test_a_quantised_base_stays_out_of_the_file_and_comes_back(city, city_cache, tmp_path):
    pytest.importorskip("bitsandbytes")
    nf4 = {"bits": 4, "compute_dtype": "float32"}
    options = {"model.decoder.dtype": "float32", "model.decoder.quantization": nf4}
    trained = train_tiny(tmp_path, city, city_cache, **options)
    weight = trained.runner.model.decoder.backbone.layers[0].mlp.up_proj.weight
    assert weight.dtype == torch.uint8
    saved = torch.load(trained.best, weights_only=True)
    assert not any(key.startswith("decoder.backbone.") for key in saved["state_dict"])
    assert saved["meta"]["base_weights"]["decoder"]["quantization"] == nf4

    predictor = mapllava.load_model(trained.best, device="cpu")
    dataset = trained.runner.val_dataloader.dataset
    sample = dataset.get_data_info(0)
    with torch.inference_mode():
        (expected,) = trained.runner.model.test_step(trained.runner.val_dataloader.collate_fn([dataset[0]]))
    lines = predictor.predict(sample["img_paths"], sample["cam2img"], sample["lidar2cam"])
    assert np.array_equal(np.stack(lines.points), expected.pred_instances.points.double().numpy())
    changed = edited(
        trained,
        tmp_path / "m.pth",
        lambda c: c["meta"]["full_config"]["model"]["decoder"].update(quantization={"bits": 8}),
    )
    with pytest.raises(
        MapLLaVAError, match=r"decoder: trained on .*quantization \{'bits': 4.*\} then, \{'bits': 8\} now"
    ):
        mapllava.load_model(changed, device="cpu")
