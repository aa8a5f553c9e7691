// Package web is Sealpost over HTTP: the REST interface of package api, the addresses that certificates name (revocation
// lists, issuers' certificates, OCSP) and by which certificates are found, health and metrics. Its main type is Server.
//
// It owns which fault becomes which HTTP status (problem.go, and nowhere else), the OpenAPI document, and the listeners with
// their limits. It decides nothing about certificates, keys or people: package signin says who is asking, and a handler
// decodes, calls one room's method with that actor, and encodes. Only what somebody may see is narrowed here, in the query
// that the room gets. It keeps no tables.
//
// It is the only package that knows chi and huma.
package web
