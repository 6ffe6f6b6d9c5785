"""How answers look in HTTP: response bodies, headers, formats, cursors and problem details."""
