"""Speed and quality measured side by side with the tools people use today."""
