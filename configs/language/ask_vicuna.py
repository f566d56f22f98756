# Words to requests by Vicuna-7B, frozen, with one adapter: a model file of 50 MB.
# Meant for one card of 24 GB.
_base_ = [
    "../_base_/language_models/vicuna_7b.py",
    "../_base_/language/requests.py",
    "../_base_/language/adapter.py",
    "../_base_/language/schedule.py",
]

model = dict(
    prompt="USER: Write the request about the road map. Classes: {classes}. Sentence: {text} ASSISTANT:",
    language_model=dict(
        pretrained=_base_.vicuna,
        gradient_checkpointing=True,
        lora=dict(targets=["q_proj", "k_proj", "v_proj"]),
        architecture=_base_.vicuna_architecture,
    ),
)
