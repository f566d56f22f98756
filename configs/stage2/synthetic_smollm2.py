# A pretrained small language model, frozen, decodes the demo's map: SmolLM2-135M-Instruct.
_base_ = ["./synthetic.py", "../_base_/language_models/smollm2.py"]

model = dict(
    decoder=dict(
        pretrained=_base_.smollm2,
        frozen=True,
        scale="embeddings",
        dtype="bfloat16",
        architecture=_base_.smollm2_architecture,
    ),
)
