SELECT count(*) FROM {metrics}
