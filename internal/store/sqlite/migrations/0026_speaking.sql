-- +goose Up
-- +goose StatementBegin

-- Didomi users from whom something follows for the person that they are linked to:
-- those whose state does not begin with consent.SaysNothing. Comparing everybody
-- looks for linked users here: where people are told of under their own ids, as
-- most are, there are few, and to find out so takes no page of people itself.
CREATE INDEX people_speaking ON people (organization, person)
  WHERE user_id = '' AND substr(state, 1, 5) <> x'0100000000';
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DROP INDEX people_speaking;
-- +goose StatementEnd
