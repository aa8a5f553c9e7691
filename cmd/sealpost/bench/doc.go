// Package bench measures what docs/performance.md claims: enrolments of a dual pair per second over HTTPS with durable
// commits, next to the simplest server that issues certificates and the sum of the cryptography that nobody can leave
// out, all in one run, because only ratios within one run mean something on a machine that others use too.
//
// It runs the real server (`sealpost serve`) in a process of its own, on a private PostgreSQL and a private OpenLDAP, and
// plays its clients in this one. Requests are made before the clock runs: keys, certificate requests, the message to the
// archive, and an enrolment token each. Measured is what follows: the token is checked, the request decided, the key
// archived, both certificates linted, signed, stored and answered. It is what `make bench` runs.
package bench
