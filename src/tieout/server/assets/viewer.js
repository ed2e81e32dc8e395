/* The description stands beside this page, so that it is found below any prefix. Nothing is asked of another host. */
const here = window.location.pathname.replace(/\/docs\/?$/, "/");
SwaggerUIBundle({ url: `${here}openapi.json`, dom_id: "#api", validatorUrl: null, deepLinking: true, tryItOutEnabled: true });
