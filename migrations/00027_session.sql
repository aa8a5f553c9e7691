-- +goose Up
-- People who are signed in to the portal (package web/session).
create schema web;

create table web.session (
  id        uuid primary key,             -- shown to its person; the cookie's secret is another thing
  secret    bytea not null unique check (octet_length(secret) = 32), -- SHA-256 of the cookie's value
  person    uuid not null,
  method    text not null,                -- how they showed who they are, last
  strength  text not null,
  roles     text[] not null,              -- from the identity provider, beside those of the directory
  began_at  timestamptz not null,
  seen_at   timestamptz not null,         -- to about a minute
  proven_at timestamptz not null,         -- when they last showed who they are
  ends_at   timestamptz not null,         -- whatever happens
  agent     text not null                 -- their browser, as it calls itself
);
create index on web.session (person);
create index on web.session (ends_at);

grant usage on schema web to "sealpost_web";
grant select, insert, update, delete on web.session to "sealpost_web";
