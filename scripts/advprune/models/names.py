"""Names of the architectures. Without torch, because the workflow reads them while planning."""

ARCHITECTURES = ("resnet18", "vgg16")
