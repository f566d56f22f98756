# Words to requests by SmolLM2-135M-Instruct, frozen, with one adapter: an hour and a half of a CPU core.
_base_ = [
    "../_base_/language_models/smollm2.py",
    "../_base_/language/requests.py",
    "../_base_/language/adapter.py",
    "../_base_/language/schedule.py",
]

# BOS, which is put in front, is <|im_start|>
model = dict(
    prompt="user\n{text}<|im_end|>\n<|im_start|>assistant\n",
    language_model=dict(
        pretrained=_base_.smollm2,
        architecture=_base_.smollm2_architecture,
        lora=dict(targets="all-linear"),
        noise=5.0,
        rows_at_once=4,  # in float32 on a CPU a quarter less time than with 8
    ),
)
train_dataloader = dict(dataset=dict(count=12800))  # 3200 updates
