CREATE TABLE account (id integer PRIMARY KEY, balance bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE request (
    session bigint NOT NULL, sequence bigint NOT NULL, balance bigint, outcomes bigint[],
    PRIMARY KEY (session, sequence)
);
INSERT INTO account SELECT number, :opening FROM generate_series(1, :accounts) AS number;

-- One withdrawal; the same request again gets the same answer. NULL: refused.
CREATE FUNCTION withdraw(which integer, amount bigint, own bigint, number bigint) RETURNS bigint AS $$
DECLARE
    outcome bigint;
BEGIN
    UPDATE account SET balance = account.balance - amount
        WHERE id = which AND account.balance >= amount RETURNING account.balance INTO outcome;
    INSERT INTO request (session, sequence, balance) VALUES (own, number, outcome);
    RETURN outcome;
EXCEPTION WHEN unique_violation THEN
    RETURN (SELECT request.balance FROM request WHERE session = own AND sequence = number);
END
$$ LANGUAGE plpgsql;

-- Many, one after the other, as a person would write it first: each 1 from an account drawn here. They are
-- taken in order of account, so that two batches do not wait for each other in a circle.
CREATE FUNCTION withdraw_in_a_loop(how_many integer, accounts integer, own bigint, number bigint)
RETURNS bigint[] AS $$
DECLARE
    outcome bigint;
    found bigint[] := '{}';
    drawn integer;
BEGIN
    FOR drawn IN SELECT 1 + floor(random() * accounts)::integer AS id FROM generate_series(1, how_many) ORDER BY id
    LOOP
        UPDATE account SET balance = account.balance - 1
            WHERE id = drawn AND account.balance >= 1 RETURNING account.balance INTO outcome;
        found := found || outcome;
    END LOOP;
    INSERT INTO request (session, sequence, outcomes) VALUES (own, number, found);
    RETURN found;
END
$$ LANGUAGE plpgsql;
VACUUM ANALYZE;
CHECKPOINT;
