"""A look-alike of the vLLM server for fast end-to-end scenarios: `python -m slmfleet.simulator <vLLM's arguments>`.

It parses flags as a given vLLM release does, speaks the OpenAI API with vLLM's shapes and error bodies, writes vLLM's
metrics, logs its start marks, ends with its exit codes, and computes no tensors: a step-time model says how long each
engine step takes. What it must have in common with the real server is held by e2e/contract.

Pure: values, flags, config, steps, texts, openai, metrics. Edges: engine (asyncio clock), server (HTTP), lifecycle
(signals, exit codes), settings (environment).
"""
