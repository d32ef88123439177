"""The manifests for Kubernetes, and what keeps and checks them."""
