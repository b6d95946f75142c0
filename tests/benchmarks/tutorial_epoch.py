"""The loop of the official PyTorch + Ray Tune tutorial, and its networks, as a user of torch would write them."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from models.blocks import Dropout
from models.mish import Mish
from models.pooling import FractionalPool


def with_layers_of_torch(net: nn.Module) -> nn.Module:
    """The network as its user would write it: without our faster dropout, Mish and fractional pooling."""
    for name, layer in net.named_children():
        if isinstance(layer, Dropout):
            setattr(net, name, nn.Dropout(layer.p))
        elif isinstance(layer, Mish):
            setattr(net, name, nn.Mish())
        elif isinstance(layer, FractionalPool):
            setattr(net, name, nn.FractionalMaxPool2d(2, output_size=layer.out_size))
        else:
            with_layers_of_torch(layer)
    return net


def train_epoch(
    net: nn.Module, loader: DataLoader[Any], criterion: nn.Module, optimizer: torch.optim.Optimizer
) -> float:
    """The mean loss of an epoch."""
    device = next(net.parameters()).device
    net.train()
    running_loss = 0.0
    for inputs, labels in loader:
        inputs, labels = inputs.to(device), labels.to(device)
        optimizer.zero_grad()
        loss = criterion(net(inputs), labels)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
    return running_loss / len(loader)


def validate(net: nn.Module, loader: DataLoader[Any], criterion: nn.Module) -> tuple[float, float]:
    """The mean loss and the accuracy."""
    device = next(net.parameters()).device
    net.eval()
    val_loss, total, correct = 0.0, 0, 0
    for inputs, labels in loader:
        with torch.no_grad():
            inputs, labels = inputs.to(device), labels.to(device)
            outputs = net(inputs)
            _, predicted = torch.max(outputs.data, 1)
            total += labels.size(0)
            correct += (predicted == labels).sum().item()
            val_loss += criterion(outputs, labels).cpu().numpy()
    return val_loss / len(loader), correct / total
