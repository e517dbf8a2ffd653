"""The command line: one verb a file. A verb reads its options, calls the workspace, and shows what came back."""
