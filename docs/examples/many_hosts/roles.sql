CREATE ROLE papers_owner LOGIN PASSWORD 'choose-one';
CREATE ROLE papers LOGIN PASSWORD 'choose-another';
CREATE DATABASE papers OWNER papers_owner ENCODING 'UTF8' TEMPLATE template0;
