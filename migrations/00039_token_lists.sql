-- +goose Up
-- Which enrolment tokens were made together, and what became of each.
alter table enroll.token add column list bigint;          -- the number of the first that was made together with it; null: it was made alone
alter table enroll.token add column spent_at timestamptz; -- when it was used
alter table enroll.token add column withdrawn_by uuid;    -- null also where that was not kept yet
update enroll.token t set spent_at = r.received_at from enroll.request r where r.id = t.request;
create index token_list on enroll.token (list, number) where list is not null;
create index token_person on enroll.token (person, number);
