SELECT entity, min(watermark) FROM progress GROUP BY entity
