"""Images, a ViT trained with JEPA and with MAE on them, and how its representations compare."""
