"""The processes of Tunebus, one package each, and the platform that all of them stand on."""
