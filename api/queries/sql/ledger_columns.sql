SELECT attname::text AS name FROM pg_attribute WHERE attrelid = '{ledger}'::regclass
