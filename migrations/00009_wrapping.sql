-- +goose Up
-- Which wrapping keys records need is asked at every start, and by whoever moves records to a new one.
create index on archive.record (wrapping_id, deposited_at);
