"""The autoscalers that the comparison runs, each as its source describes it, with its published defaults."""
