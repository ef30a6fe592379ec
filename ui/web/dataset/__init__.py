"""The pages of datasets in parts: their list, adding one, and looking into one."""
