# LLaVA-1.5 at full size: its CLIP ViT-L/336, which LLaVA never changed, and its Vicuna-7B.
#
# The Q-Former starts from scratch and learns at the rate of a new part. BLIP-2's has learned to read
# ViT-g's 1,408 channels; behind a new projection of CLIP's 1,024 its cross-attention would know nothing,
# and the rest is not worth a second download.
_base_ = ["./blip2_vicuna.py"]

model = dict(
    vision_encoder=dict(
        _delete_=True,
        type="CLIPVisionEncoder",
        pretrained="openai/clip-vit-large-patch14-336",
        frozen=True,
        dtype="bfloat16",
        feature_layer=-2,  # what LLaVA-1.5 reads
        architecture=dict(
            hidden_size=1024,
            intermediate_size=4096,
            num_hidden_layers=24,
            num_attention_heads=16,
            patch_size=14,
            image_size=336,
        ),
    ),
    neck=dict(qformer=dict(_delete_=True, **_base_.qformer_from_scratch)),
    decoder=dict(
        pretrained="llava-hf/llava-1.5-7b-hf",
        architecture=dict(vocab_size=32064),  # 32,000 and LLaVA's image and padding tokens
    ),
)
