-- +goose Up
-- The server has two kinds of short-lived keys of its own: one to receive private keys, one to sign what it tells clients to do.
alter table enroll.exchange rename to server_key;
alter table enroll.server_key add column serves text not null default 'exchange' check (serves in ('exchange', 'policy'));
alter table enroll.server_key alter column serves drop default;
