"""Everything that puts the runtime onto a machine: bootstrap, images, the local stack."""
