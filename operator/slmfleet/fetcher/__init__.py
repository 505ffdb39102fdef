"""The fetcher: brings one LoRA adapter from where its owner keeps it to the volume that engines read.

It runs as a Job in the adapter's namespace, because only there are the Secret and the claim. It shares no process and
no library with the operator; of slmfleet it imports `guard.adapter_files`, which says what an adapter's files are.
"""
