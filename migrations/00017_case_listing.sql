-- +goose Up
-- What a list of cases shows, so that nobody's signed statement has to be read for it: a statement may name 10,000 records.
-- The statement stays what counts; where one case is shown or released it is read and verified. Null: a case from before.
alter table archive.recovery_case
  add column requester_name text,
  add column purpose        text, -- the statement's reason; the column reason says why the case ended
  add column reference      text;
alter table archive.case_delivery
  add column recipient_sha256 bytea check (length(recipient_sha256) = 32), -- the certificate
  add column subjects         int,
  add column records          int;
