SELECT entity, min(watermark) AS watermark FROM progress GROUP BY entity
