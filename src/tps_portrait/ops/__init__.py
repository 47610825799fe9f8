"""Pure functions of tensors, usable on their own; import them from the modules.

- `tps`: thin-plate splines, sampling grids and warps.
- `landmarks`: the 68-point layout, similarities and crops.
- `blocks`: building blocks of the networks.
"""
