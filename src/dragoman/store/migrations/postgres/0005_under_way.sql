-- What is under way in a lane besides deliveries that end just now. A function, because it must look with a snapshot of
-- its own, taken after the lane's lock: so the whole settling is one statement, and one round trip.
CREATE FUNCTION under_way(line text, besides bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    RETURN (SELECT max(id) FROM outbox WHERE conversation = line AND state = 'sending' AND id <> ALL (besides));
END
$$;
