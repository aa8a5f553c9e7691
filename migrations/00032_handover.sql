-- +goose Up
-- Proofs of who somebody is that were given on another listener than the portal's, until the portal takes them over (package
-- web/session).
create table web.handover (
  code      bytea primary key check (octet_length(code) = 32),      -- SHA-256 of what the browser brings
  challenge bytea not null check (octet_length(challenge) = 32),    -- SHA-256 of what the browser that began it keeps
  person    uuid not null,
  method    text not null,
  strength  text not null,
  ends_at   timestamptz not null
);
create index on web.handover (ends_at);

grant select, insert, delete on web.handover to "sealpost_web";
