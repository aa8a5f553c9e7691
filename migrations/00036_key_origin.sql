-- +goose Up
-- What was proven about where the signing key of a request was made (package attest), and by the answer to which challenge: none is
-- answered twice.
alter table enroll.request
  add column key_origin    jsonb, -- null: nothing was asked for, or it is from before that was kept
  add column key_challenge bytea, -- null: likewise, or the device answers none
  add constraint request_key_challenge unique (key_challenge);
