SELECT count(*) FROM accepted
