"""Training a run: the LightningModule, its data, callbacks and loggers, resume, and several processes."""
