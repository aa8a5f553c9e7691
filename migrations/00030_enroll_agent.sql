-- +goose Up
-- With which program a request came, so that people can tell their devices apart.
alter table enroll.request add agent text not null default '' check (octet_length(agent) <= 256);
