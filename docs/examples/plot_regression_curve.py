"""
A curve through points with outliers
====================================

A fit by the squared error is drawn towards points that are far off. Huber's loss, which is linear beyond ``delta``, is
affected less.
"""

import matplotlib.pyplot as plt
import numpy as np

from fcclf import FCRegressor

generator = np.random.default_rng(0)
x = generator.uniform(-1, 1, 300)
y = np.sin(4 * x) + generator.normal(0, 0.1, 300)
wild = generator.choice(np.flatnonzero(x > 0), 30, replace=False)
y[wild] += 3  # some measurements went wrong

line = np.linspace(-1, 1, 200)
figure, axis = plt.subplots(figsize=(8, 4.5), layout="constrained")
axis.scatter(x, y, s=10, color="lightgrey")
axis.plot(line, np.sin(4 * line), "k--", label="without noise")
for loss in ("squared_error", "huber"):
    model = FCRegressor(loss, (32, 16), delta=0.2, learning_rate_init=0.01, max_iter=400, tol=0, random_state=0)
    answers = model.fit(x[:, None], y).predict(line[:, None])
    error = np.abs(answers - np.sin(4 * line)).mean()
    axis.plot(line, answers, label=f"{loss}: {error:.3f} away on average")
axis.legend()
