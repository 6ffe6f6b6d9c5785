SELECT attname::text
FROM pg_attribute
WHERE attrelid = to_regclass(quote_ident(%(relation)s)) AND attnum > 0 AND NOT attisdropped
