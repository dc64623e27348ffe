-- Where the server keeps its data, for whoever watches the room on that disk.
-- NULL when the owner of the schema may not know.
CREATE FUNCTION database_directory() RETURNS text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
SELECT setting FROM pg_settings WHERE name = 'data_directory'
$$;
