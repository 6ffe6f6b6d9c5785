// The OpenAPI document, shown by Swagger UI. A file of its own, as the Content Security Policy forbids
// inline scripts. The document is not sent to a validator on another host.
window.SwaggerUIBundle({
  url: "/schema/openapi.json",
  dom_id: "#schema",
  deepLinking: true,
  validatorUrl: null,
});
