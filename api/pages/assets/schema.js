// The OpenAPI document, drawn by Swagger UI. A script of its own, since the policy allows none inline; and
// the document is not sent to a validator elsewhere.
window.SwaggerUIBundle({
  url: "/schema/openapi.json",
  dom_id: "#schema",
  deepLinking: true,
  validatorUrl: null,
});
