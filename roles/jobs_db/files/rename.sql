-- psql variables: name, new. There was no database to keep.
ALTER DATABASE :"new" RENAME TO :"name";
