"""A space of the user's own."""

OWN = """
experiment: {data: {name: digits}, model: {name: mnist_mlr}, training: {epochs: 3}}
space: {training.optimizer.lr: {float: [0.001, 0.1]}}
search: {metric: val_loss, trials: 2}
"""
