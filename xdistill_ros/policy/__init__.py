"""From features and joint states to chunks of actions: bundle, observation window, sampler, chunk timeline.

Names are imported from their modules: the arm's process needs `chunk` and `chunk_timeline` and shall not load ONNX
Runtime for them.
"""
