"""Other people's score files: any of the forms in which architectures and scores are written, read right or refused."""
