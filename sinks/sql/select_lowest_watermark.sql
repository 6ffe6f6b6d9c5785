SELECT min(watermark) FROM progress WHERE entity = %(entity)s
